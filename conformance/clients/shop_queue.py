"""The queue of the coffee shop, as it ran with Redis. brokerd serves it as it stands; only the port is another one."""

import json
import threading

import redis


class Queue:
    def __init__(self, port=6379):
        self.redis = redis.Redis(port=port)

    def publish(self, topic, message):
        self.redis.lpush(topic, json.dumps(message))

    def subscribe(self, topic, callback):
        def loop():
            while True:
                item = self.redis.brpop(topic, timeout=5)
                if item is not None:
                    callback(json.loads(item[1]))

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        return thread
