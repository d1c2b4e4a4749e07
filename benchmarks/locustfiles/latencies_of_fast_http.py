"""Run a stock FastHttpUser; write the sender's CPU time and the latency of each request."""

import stock
from stock_fast_user import StockFastUser

__all__ = ["StockFastUser"]

stock.install(with_latencies=True)
