/* ---
title: "Who touched a resource"
description: |
    Finds an id, name or ARN in parameters, answers and resources: a bucket, key, instance, group, secret.
tables: [cloudtrail]
parameters:
  - name: resource
    type: text
    doc: "Id, name or part of an ARN."
  - name: limit
    type: int
    default: "100"
    doc: "Rows shown."
--- */
SELECT event_time, actor, src_ip, event_source, event_name, read_only, outcome, error_code, event_uid
FROM cloudtrail
WHERE request_parameters LIKE '%' || $resource || '%' OR resources LIKE '%' || $resource || '%' OR response_elements LIKE '%' || $resource || '%'
ORDER BY event_time DESC, event_uid
LIMIT $limit
