(defn run [n]
  (sum (gfor x (range n) :if (!= (% x 3) 0) (* x x))))
