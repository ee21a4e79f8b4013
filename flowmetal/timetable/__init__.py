"""Plans in time: cron with time zones, intervals, single instants.  Pure: what the time is, others say.

The store plans the runs of its schedules with it, in the transaction that starts one.
"""
