/* ---
title: "Who read or wrote objects of a bucket, by key prefix"
description: |
    Needs S3 data events in the trail.
tables: [cloudtrail]
parameters:
  - name: bucket
    type: text
    doc: "Bucket name."
  - name: prefix
    type: text
    default: ""
    doc: "Beginning of the keys; empty for all."
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT actor, src_ip, event_name, count(*) AS calls, count(DISTINCT json_get_str(request_parameters, 'key')) AS objects,
  sum(json_get_int(additional_event_data, 'bytesTransferredOut')) AS bytes_out, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE event_source = 's3.amazonaws.com' AND json_get_str(request_parameters, 'bucketName') = $bucket
  AND json_get_str(request_parameters, 'key') LIKE $prefix || '%'
GROUP BY actor, src_ip, event_name
ORDER BY calls DESC, actor, event_name
LIMIT $limit
