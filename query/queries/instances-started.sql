/* ---
title: "Instances that were started, by whom and of which kind"
description: |
    Large types and unusual regions are what miners want.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT event_time, actor, src_ip, region, json_get_str(request_parameters, 'instanceType') AS instance_type, json_first(response_elements, 'instancesSet.items.instanceId') AS instance,
  outcome, error_code, event_uid
FROM cloudtrail
WHERE event_name IN ('RunInstances', 'StartInstances', 'RequestSpotInstances', 'CreateFleet')
ORDER BY event_time DESC, event_uid
LIMIT $limit
