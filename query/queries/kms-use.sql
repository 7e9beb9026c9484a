/* ---
title: "Who used which KMS key for what"
description: |
    Decrypt by an unexpected principal is data being read. Calls by services carry invoked_by.
tables: [cloudtrail]
parameters:
  - name: key
    type: text
    default: ""
    doc: "Part of a key id or ARN; empty for all."
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT actor, event_name, invoked_by, coalesce(json_first(resources, 'ARN'), json_get_str(request_parameters, 'keyId')) AS key, count(*) AS calls,
  count(*) FILTER (WHERE outcome = 'failure') AS failed, count(DISTINCT src_ip) AS addresses, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE event_source = 'kms.amazonaws.com' AND ($key = '' OR resources LIKE '%' || $key || '%' OR request_parameters LIKE '%' || $key || '%')
GROUP BY actor, event_name, invoked_by, coalesce(json_first(resources, 'ARN'), json_get_str(request_parameters, 'keyId'))
ORDER BY calls DESC, actor, event_name
LIMIT $limit
