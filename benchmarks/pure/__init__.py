"""Pure code: the same programs in Flowmetal, Python, Hy and Basilisp, side by side."""
