/* ---
title: "Who read secrets and secure parameters"
description: |
    Secrets Manager and SSM parameters.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT actor, src_ip, event_name, coalesce(json_get_str(request_parameters, 'secretId'), json_get_str(request_parameters, 'name')) AS secret, count(*) AS calls,
  count(*) FILTER (WHERE outcome = 'failure') AS failed, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE event_name IN ('GetSecretValue', 'BatchGetSecretValue', 'GetParameter', 'GetParameters', 'GetParametersByPath', 'GetPasswordData', 'GenerateDbAuthToken')
GROUP BY actor, src_ip, event_name, coalesce(json_get_str(request_parameters, 'secretId'), json_get_str(request_parameters, 'name'))
ORDER BY calls DESC, actor, secret
LIMIT $limit
