(defn run [n]
  (setv text (.join "" (gfor i (range n) f"item-{i}: {(* i 7)};")))
  [(len text) (cut text -20 None) (.upper (cut text 0 20))])
