/* ---
title: "Calls by principals of other accounts"
description: |
    The principal's account differs from the one the event is recorded in.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT user_identity_account_id AS from_account, recipient_account_id AS to_account, actor, event_source, event_name, count(*) AS calls,
  count(*) FILTER (WHERE outcome = 'failure') AS failed, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE user_identity_account_id <> recipient_account_id AND invoked_by IS NULL
GROUP BY user_identity_account_id, recipient_account_id, actor, event_source, event_name
ORDER BY calls DESC, from_account, event_name
LIMIT $limit
