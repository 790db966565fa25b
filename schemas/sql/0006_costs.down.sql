DROP FUNCTION cost_settle(text, text, text, text, text, bigint, bigint, numeric, timestamptz);
DROP FUNCTION cost_hold(text, text, text, text, bigint, bigint, numeric, numeric, bigint, boolean, interval, timestamptz);
DROP FUNCTION cost_expire(text, timestamptz);
DROP FUNCTION cost_day(text, date);
DROP FUNCTION cost_add(text, date, text, text, int, int, int, bigint, bigint, numeric);
DROP TABLE cost_holds;
DROP TABLE costs;
