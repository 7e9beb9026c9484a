/* ---
title: "Access keys and login profiles that were created, and for whom"
description: |
    The usual way to stay. created_for differs from the actor when somebody made a key for somebody else.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT event_time, actor, src_ip, event_name, outcome, json_get_str(request_parameters, 'userName') AS created_for,
  json_get_str(response_elements, 'accessKey', 'accessKeyId') AS access_key_id, user_agent(user_agent) AS program, event_uid
FROM cloudtrail
WHERE event_name IN ('CreateAccessKey', 'CreateLoginProfile', 'UpdateLoginProfile', 'UpdateAccessKey', 'CreateServiceSpecificCredential', 'UploadSSHPublicKey')
ORDER BY event_time DESC, event_uid
LIMIT $limit
