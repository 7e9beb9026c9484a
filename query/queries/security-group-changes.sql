/* ---
title: "Changes of security groups and network ACLs"
description: |
    Open ports are in request_parameters; 0.0.0.0/0 and ::/0 are flagged.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT event_time, actor, src_ip, event_name, outcome, coalesce(json_get_str(request_parameters, 'groupId'), json_get_str(request_parameters, 'networkAclId')) AS target,
  (request_parameters LIKE '%0.0.0.0/0%' OR request_parameters LIKE '%::/0%') AS to_the_world, request_parameters, event_uid
FROM cloudtrail
WHERE event_name IN ('AuthorizeSecurityGroupIngress', 'AuthorizeSecurityGroupEgress', 'RevokeSecurityGroupIngress', 'RevokeSecurityGroupEgress',
  'ModifySecurityGroupRules', 'CreateSecurityGroup', 'DeleteSecurityGroup', 'CreateNetworkAclEntry', 'ReplaceNetworkAclEntry', 'DeleteNetworkAclEntry', 'ModifyNetworkInterfaceAttribute')
ORDER BY event_time DESC, event_uid
LIMIT $limit
