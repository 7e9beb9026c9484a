/* ---
title: "Changes to users, roles, policies and keys"
description: |
    Every call to IAM, Identity Center and Organizations that is not read-only.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "100"
    doc: "Rows shown."
--- */
SELECT event_time, actor, src_ip, event_name, outcome, error_code,
  coalesce(json_get_str(request_parameters, 'userName'), json_get_str(request_parameters, 'roleName'), json_get_str(request_parameters, 'groupName')) AS target,
  json_get_str(request_parameters, 'policyArn') AS policy, event_uid
FROM cloudtrail
WHERE event_source IN ('iam.amazonaws.com', 'sso.amazonaws.com', 'identitystore.amazonaws.com', 'organizations.amazonaws.com')
  AND (read_only IS DISTINCT FROM true)
ORDER BY event_time DESC, event_uid
LIMIT $limit
