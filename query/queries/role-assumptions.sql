/* ---
title: "Who assumed which role"
description: |
    Callers of AssumeRole, also across accounts, with the sessions that came of it.
tables: [cloudtrail]
parameters:
  - name: role
    type: text
    default: ""
    doc: "Part of the role name; empty for all."
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT coalesce(user_identity_arn, invoked_by, user_identity_type) AS caller, json_get_str(request_parameters, 'roleArn') AS role, event_name, src_ip,
  count(*) AS sessions, count(*) FILTER (WHERE outcome = 'failure') AS failed, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE event_source = 'sts.amazonaws.com' AND event_name IN ('AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity')
  AND ($role = '' OR json_get_str(request_parameters, 'roleArn') LIKE '%' || $role || '%')
GROUP BY coalesce(user_identity_arn, invoked_by, user_identity_type), json_get_str(request_parameters, 'roleArn'), event_name, src_ip
ORDER BY sessions DESC, caller, role, src_ip
LIMIT $limit
