(defn order [i]
  {"id" i
   "customer" {"name" f"customer-{(% i 50)}" "country" (if (= (% i 2) 0) "NL" "BE")}
   "lines" [{"product" "pen" "quantity" (+ (% i 5) 1) "price" 120}
            {"product" "book" "quantity" (+ (% i 3) 1) "price" 1500}
            {"product" "bag" "quantity" (% i 2) "price" 4000}]})

(defn line-total [line]
  (* (get line "quantity") (get line "price")))

(defn priced [order]
  (setv net (sum (gfor line (get order "lines") (line-total line))))
  (setv rate (if (= (get order "customer" "country") "NL") 21 6))
  {#** order "net" net "tax" (// (* net rate) 100)})

(defn run [n]
  (setv orders (lfor one (gfor i (range n) (priced (order i))) :if (> (get one "net") 2000) one))
  (setv totals {})
  (for [one orders]
    (setv total (.setdefault totals (get one "customer" "name") {"orders" 0 "total" 0}))
    (+= (get total "orders") 1)
    (+= (get total "total") (+ (get one "net") (get one "tax"))))
  [(len orders) (len totals) (get totals "customer-1" "orders") (get totals "customer-1" "total")])
