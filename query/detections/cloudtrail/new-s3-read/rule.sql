/* ---
id: new-s3-read
title: "A principal reads objects for the first time, from a new place"
status: stable
author: logq
level: high
description: |
    A principal that has been active for days reads objects: calls it never made in the history, and from
    an address it never used there. Sessions of a role count as the role; calls that AWS services make
    on behalf of somebody do not count.
tags:
  - attack.exfiltration
  - attack.collection
  - attack.t1530
tables: [cloudtrail]
parameters:
  history:
    default: 30 days
    doc: "How far back the principal's habits are read."
  days:
    default: 3
    doc: "Days of history on which the principal must have been active; without habits nothing is new."
  calls:
    default: 20
    doc: "Least calls of this kind on the day."
summary: "{actor} reads objects for the first time in {history}: {names} from {addresses}; {count} calls"
evidence: |
  SELECT * FROM cloudtrail
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND coalesce(session_issuer_arn, user_identity_arn, principal_id) = {actor} AND invoked_by IS NULL
    AND array_has(string_to_array({names}, ' '), event_name) AND array_has(string_to_array({addresses}, ' '), source_ip_address)
  ORDER BY event_time
falsepositives:
  - "New duties, a new office or a new deployment."
--- */
WITH calls AS (
  SELECT coalesce(session_issuer_arn, user_identity_arn, principal_id) AS actor, event_name, source_ip_address, event_time, account_id, region FROM cloudtrail
  WHERE {RECENT} AND event_name IN ('GetObject', 'ListObjects', 'ListObjectsV2', 'ListObjectVersions', 'SelectObjectContent') AND invoked_by IS NULL AND source_ip_address IS NOT NULL
), known AS (
  SELECT coalesce(session_issuer_arn, user_identity_arn, principal_id) AS actor FROM cloudtrail WHERE {HISTORY} AND invoked_by IS NULL
  GROUP BY coalesce(session_issuer_arn, user_identity_arn, principal_id) HAVING count(DISTINCT date_trunc('day', event_time)) >= {days}
), made AS (
  SELECT DISTINCT coalesce(session_issuer_arn, user_identity_arn, principal_id) AS actor, event_name FROM cloudtrail WHERE {HISTORY} AND invoked_by IS NULL
), places AS (
  SELECT DISTINCT coalesce(session_issuer_arn, user_identity_arn, principal_id) AS actor, source_ip_address FROM cloudtrail WHERE {HISTORY} AND invoked_by IS NULL
)
SELECT c.actor AS entity, c.actor, min(c.event_time) AS first_seen, max(c.event_time) AS last_seen, count(*) AS "count",
  string_agg(DISTINCT c.event_name, ' ') AS names, string_agg(DISTINCT c.source_ip_address, ' ') AS addresses,
  min(c.account_id) AS account_id, min(c.region) AS region
FROM calls c JOIN known k ON c.actor = k.actor
  LEFT JOIN made m ON c.actor = m.actor AND c.event_name = m.event_name
  LEFT JOIN places p ON c.actor = p.actor AND c.source_ip_address = p.source_ip_address
WHERE m.actor IS NULL AND p.actor IS NULL
GROUP BY c.actor, date_trunc('day', c.event_time)
HAVING count(*) >= {calls}
ORDER BY "count" DESC, entity
