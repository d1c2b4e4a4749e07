"""Drive a scenario's phases over senders: the users of this process, or those of many workers."""
