"""One thread at a time imports a cloud's package and makes a client of it.

Studies at work at once may each be the first to need one, and boto3 that two threads import at the
same time, from different ends, is there by half for one of them.
"""

import threading

connecting = threading.RLock()
