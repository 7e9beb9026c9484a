/* ---
title: "Changes of routes, gateways, peerings and endpoints"
description: |
    New ways in and out of the network.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT event_time, actor, src_ip, region, event_name, outcome, request_parameters, event_uid
FROM cloudtrail
WHERE event_source = 'ec2.amazonaws.com' AND (read_only IS DISTINCT FROM true)
  AND (event_name LIKE '%Route%' OR event_name LIKE '%Gateway%' OR event_name LIKE '%Peering%' OR event_name LIKE '%VpcEndpoint%' OR event_name LIKE '%Vpn%'
    OR event_name LIKE '%TrafficMirror%' OR event_name IN ('AllocateAddress', 'AssociateAddress', 'CreateVpc', 'CreateSubnet', 'ModifySubnetAttribute'))
ORDER BY event_time DESC, event_uid
LIMIT $limit
