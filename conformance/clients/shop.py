"""Uses the shop's queue: shop.py PORT orders COUNT [DELAY_MS] | shop.py PORT listen TOPIC COUNT.

`orders` publishes that many order.created, each worth two bags of beans; `listen` prints what comes to the topic, one JSON
object a line, until it was so many.
"""

import json
import sys
import threading
import time

from shop_queue import Queue


def order(number):
    return {
        "order_id": f"R-{number:06}",
        "customer": {"name": "Zoë Čapek", "email": "zoe@example.org"},
        "items": [{"sku": "beans", "name": "Espresso beans, 1 kg", "quantity": 2, "unit_price": 2450}],
        "total": 4900,
        "currency": "EUR",
        "payment_token": "tok_ok",
        "placed_at": "2025-03-01T09:30:00Z",
    }


def listen(queue, topic, count):
    enough = threading.Semaphore(0)

    def show(message):
        print(json.dumps(message), flush=True)
        enough.release()

    queue.subscribe(topic, show)
    print("listening", flush=True)
    for _ in range(count):
        if not enough.acquire(timeout=30):
            sys.exit("too few messages")


def main():
    queue = Queue(port=int(sys.argv[1]))
    if sys.argv[2] == "listen":
        return listen(queue, sys.argv[3], int(sys.argv[4]))
    for number in range(int(sys.argv[3])):
        queue.publish("order.created", order(number))
        time.sleep(int(sys.argv[4]) / 1000 if len(sys.argv) > 4 else 0)


if __name__ == "__main__":
    main()
