/* ---
title: "What was done with an access key, in order"
description: |
    The story of one set of credentials.
tables: [cloudtrail]
parameters:
  - name: key
    type: text
    doc: "Access key id: AKIA… or ASIA…."
  - name: limit
    type: int
    default: "200"
    doc: "Rows shown."
--- */
SELECT event_time, region, event_source, event_name, outcome, error_code, src_ip, user_agent(user_agent) AS program, request_parameters, event_uid
FROM cloudtrail
WHERE access_key_id = $key
ORDER BY event_time, event_uid
LIMIT $limit
