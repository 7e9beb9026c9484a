/* ---
title: "Changes of who may read buckets"
description: |
    Policies, ACLs, public access blocks, ownership, replication, website hosting.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT event_time, actor, src_ip, event_name, outcome, json_get_str(request_parameters, 'bucketName') AS bucket, event_uid
FROM cloudtrail
WHERE event_name IN ('PutBucketPolicy', 'DeleteBucketPolicy', 'PutBucketAcl', 'PutObjectAcl', 'PutBucketPublicAccessBlock', 'DeleteBucketPublicAccessBlock',
  'PutAccountPublicAccessBlock', 'DeleteAccountPublicAccessBlock', 'PutBucketOwnershipControls', 'PutBucketReplication', 'PutBucketWebsite', 'PutBucketCors', 'PutAccessPointPolicy')
ORDER BY event_time DESC, event_uid
LIMIT $limit
