(defn run [n]
  (setv total 0)
  (for [i (range n)]
    (if (= (% i 3) 0)
      (+= total (* i i))
      (-= total i)))
  total)
