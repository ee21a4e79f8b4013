(defn adder [k]
  (fn [x] (% (+ (* x 3) k) 1000003)))

(defn run [n]
  (setv functions (lfor k (range 10) (adder k)))
  (setv x 1)
  (for [_ (range n)]
    (for [f functions]
      (setv x (f x))))
  x)
