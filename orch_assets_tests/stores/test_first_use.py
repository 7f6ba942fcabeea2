"""Many studies may be the first to use a store, at the same moment."""

import threading
import time

from orch_assets.stores.s3_bucket import S3Bucket


def test_clients_are_made_one_after_the_other_whatever_the_store():
    """boto3 that two threads import at once is there by half for one of them."""
    at_work, most = 0, 0

    def connect():
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.05)
        at_work -= 1

    buckets = [S3Bucket(f"bucket-{number}", connect) for number in range(4)]
    threads = [threading.Thread(target=lambda b=bucket: b._client) for bucket in buckets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
