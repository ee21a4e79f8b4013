"""JSON-shaped data: orders are made, priced, filtered, and gathered by customer."""


def order(i):
    return {
        "id": i,
        "customer": {"name": f"customer-{i % 50}", "country": "NL" if i % 2 == 0 else "BE"},
        "lines": [
            {"product": "pen", "quantity": i % 5 + 1, "price": 120},
            {"product": "book", "quantity": i % 3 + 1, "price": 1500},
            {"product": "bag", "quantity": i % 2, "price": 4000},
        ],
    }


def line_total(line):
    return line["quantity"] * line["price"]


def priced(order):
    net = sum(line_total(line) for line in order["lines"])
    rate = 21 if order["customer"]["country"] == "NL" else 6
    return {**order, "net": net, "tax": net * rate // 100}


def run(n):
    orders = [one for one in (priced(order(i)) for i in range(n)) if one["net"] > 2000]
    totals = {}
    for one in orders:
        total = totals.setdefault(one["customer"]["name"], {"orders": 0, "total": 0})
        total["orders"] += 1
        total["total"] += one["net"] + one["tax"]
    return [len(orders), len(totals), totals["customer-1"]["orders"], totals["customer-1"]["total"]]
