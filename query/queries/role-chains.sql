/* ---
title: "Roles assumed from roles: three links of a chain"
description: |
    A session that was handed out by AssumeRole and assumed another role itself. The keys in the answers join the links.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
WITH assumed AS (
  SELECT event_time, access_key_id AS used_key, user_identity_arn AS caller, src_ip, json_get_str(request_parameters, 'roleArn') AS role,
    json_get_str(response_elements, 'credentials', 'accessKeyId') AS new_key
  FROM cloudtrail
  WHERE event_source = 'sts.amazonaws.com' AND event_name IN ('AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity') AND (outcome IS DISTINCT FROM 'failure')
)
SELECT first.caller AS started_by, first.role AS first_role, second.role AS second_role, third.role AS third_role, second.src_ip,
  count(*) AS times, min(second.event_time) AS first_seen, max(coalesce(third.event_time, second.event_time)) AS last_seen
FROM assumed first
JOIN assumed second ON second.used_key = first.new_key
LEFT JOIN assumed third ON third.used_key = second.new_key
GROUP BY first.caller, first.role, second.role, third.role, second.src_ip
ORDER BY last_seen DESC, started_by, second_role
LIMIT $limit
