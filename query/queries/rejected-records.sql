/* ---
title: "What could not be parsed, by reason"
description: |
    Nothing is dropped silently: these are the records that are in no other table.
tables: [rejected]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT reason, count(*) AS records, count(DISTINCT object_id) AS objects, min(message) AS message, min(location) AS one_location, max(ingest_time) AS last_seen
FROM rejected
GROUP BY reason
ORDER BY records DESC, reason
LIMIT $limit
