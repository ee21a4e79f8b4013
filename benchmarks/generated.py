"""Generated programs of a given size, for measuring the compiler: code as people write it, macros included.

The same arguments give the same text.  A program is one file or many; each module requires some of those before it.
"""

from __future__ import annotations

#: One module's worth of code: `{n}` is its number, `{i}` the number of the part in it.
PART = """
(def rates-{i} {{:standard 21/100 :reduced 9/100 :none 0}})

(defn line-total-{i}
  "Price of one line of an order, in cents, without tax."
  [{{:keys [price quantity discount] :or {{discount 0 quantity 1}}}}]
  (let [whole (* price quantity)
        off (quot (* whole discount) 100)]
    (- whole off)))

(defn with-tax-{i} [order]
  (let [lines (:lines order)
        net (reduce + 0 (map line-total-{i} lines))
        rate (get rates-{i} (:tax order) 0)]
    (-> order
        (assoc :net net)
        (assoc :tax-amount (* net rate))
        (update :history (fn [h] (conj (or h []) [:taxed {i}]))))))

(defmacro logged-{i}
  "Evaluates the body and logs its value under a name."
  [name & body]
  `(let [value# (do ~@body)]
     (log {{:step ~name :value value#}})
     value#))

(defn classify-{i} [order]
  (cond
    (nil? order) :missing
    (empty? (:lines order)) :empty
    (and (> (:net order 0) 100000) (not= (:country order) "NL")) :review
    (some (fn [line] (neg? (:price line))) (:lines order)) :credit
    :else (case (:tax order)
            :standard :normal
            (:reduced :none) :cheap
            :unknown)))

(defn settle-{i} [order]
  (let [taxed (with-tax-{i} order)
        kind (classify-{i} taxed)]
    (when-not (= kind :missing)
      (try
        (let [answer (perform :billing/charge {{:order (:id order) :amount (:net taxed)}})]
          (if (:ok answer)
            (logged-{i} "settled" (assoc taxed :status :paid :kind kind :receipt (:id answer)))
            (assoc taxed :status :refused :reason (str "refused: " (:reason answer)))))
        (catch :http/timeout problem
          (assoc taxed :status :unknown :problem problem))
        (finally (log [:done {i}]))))))

(defn retrying-{i} [order limit]
  (loop [tries 0 current order]
    (let [result (settle-{i} current)]
      (if (or (= :paid (:status result)) (>= tries limit))
        result
        (recur (inc tries) (update result :tries (fnil inc 0)))))))

(defn report-{i} [orders]
  (let [groups (group-by :status (map (fn [order] (retrying-{i} order 3)) orders))
        total (->> (get groups :paid [])
                   (map :net)
                   (filter some?)
                   (reduce + 0))]
    (doseq [[status some-orders] groups]
      (log (str (name status) ": " (count some-orders))))
    {{:total total
     :paid (count (get groups :paid))
     :ids (into #{{}} (for [[_ some-orders] groups
                          order some-orders
                          :when (:id order)]
                      (:id order)))}}))
"""

PART_LINES = PART.count("\n")


def module(number: int, parts: int, requires: list[int]) -> str:
    """The source of module `app.partNNN`."""
    lines = [f"(ns app.part{number:03}"]
    if requires:
        specs = "\n            ".join(f"[app.part{one:03} :as p{one:03}]" for one in requires)
        lines.append(f"  (:require {specs}))")
    else:
        lines[-1] += ")"
    body = "".join(PART.format(i=index) for index in range(parts))
    uses = "".join(
        f"\n(defn checked-{one} [orders] (p{one:03}/report-0 (filter p{one:03}/classify-0 orders)))\n"
        for one in requires
    )
    return "\n".join(lines) + "\n" + body + uses


def one_file(lines: int) -> dict[str, str]:
    """A program of one file of about so many lines."""
    return {"app/part000.fm": module(0, max(1, lines // PART_LINES), [])}


def many_files(lines: int, count: int) -> dict[str, str]:
    """A program of `count` modules, about so many lines together; each requires two before it, as a tree does."""
    parts = max(1, round(lines / count / PART_LINES))
    return {
        f"app/part{number:03}.fm": module(number, parts, sorted({(number - 1) // 2, number // 3}) if number else [])
        for number in range(count)
    }
