"""The language against Clojure 1.11: generated expressions, evaluated by both, compared as printed."""
