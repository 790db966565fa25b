DROP FUNCTION fail_unfinished_runs;
