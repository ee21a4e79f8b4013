(defn run [n]
  (setv v [])
  (for [i (range n)]
    (.append v i))
  (for [i (range n)]
    (setv at (% (* i 17) n))
    (setv (get v at) (+ (get v at) i)))
  [(len v) (sum v) (get v 5)])
