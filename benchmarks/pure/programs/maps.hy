(defn run [n]
  (setv counts {})
  (for [i (range n)]
    (setv key (% (* i 7919) 1000))
    (setv (get counts key) (+ (.get counts key 0) i)))
  [(len counts) (sum (.values counts)) (.get counts 7 0)])
