/* ---
title: "Hours without CloudTrail or flow records, by account"
description: |
    Accounts and hours in which a kind of log is silent although it spoke before and after. Silence may be a gap or a quiet account.
tables: [cloudtrail, vpc_flow]
parameters:
  - name: limit
    type: int
    default: "100"
    doc: "Rows shown."
--- */
WITH hours AS (
  SELECT 'cloudtrail' AS source, account_id, time_bucket('1h', event_time) AS hour FROM cloudtrail GROUP BY account_id, time_bucket('1h', event_time)
  UNION ALL
  SELECT 'vpc_flow', account_id, time_bucket('1h', event_time) FROM vpc_flow GROUP BY account_id, time_bucket('1h', event_time)
), next AS (
  SELECT source, account_id, hour, lead(hour) OVER (PARTITION BY source, account_id ORDER BY hour) AS next_hour FROM hours
)
SELECT source, account_id, hour + INTERVAL '1 hour' AS silent_from, next_hour AS silent_until, next_hour - hour - INTERVAL '1 hour' AS silent_for
FROM next
WHERE next_hour - hour > INTERVAL '1 hour'
ORDER BY silent_for DESC, source, account_id
LIMIT $limit
