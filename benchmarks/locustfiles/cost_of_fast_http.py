"""Run a stock FastHttpUser; write the sender's CPU time."""

import stock
from stock_fast_user import StockFastUser

__all__ = ["StockFastUser"]

stock.install()
