/* ---
title: "How fresh each kind of log is"
description: |
    From the ledger of input objects: newest event, newest object, and how late objects come.
tables: [ingest]
--- */
SELECT format, count(*) AS objects, sum(records) AS records, sum(rejected) AS rejected, max(last_event_time) AS newest_event, max(ingest_time) AS newest_object,
  approx_percentile_cont(date_part('epoch', ingest_time) - date_part('epoch', last_event_time), 0.5) AS median_delay_seconds
FROM ingest
GROUP BY format
ORDER BY format
