/* ---
title: "What a client requested, in order"
description: |
    Access logs of applications.
tables: [app_log]
parameters:
  - name: ip
    type: network
    doc: "An address or network."
  - name: limit
    type: int
    default: "200"
    doc: "Rows shown."
--- */
SELECT event_time, namespace, pod, http_method, http_path, http_status, http_bytes, user_agent(http_user_agent) AS program, event_uid
FROM app_log
WHERE cidr_contains($ip, src_ip) AND http_method IS NOT NULL
ORDER BY event_time, event_uid
LIMIT $limit
