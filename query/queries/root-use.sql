/* ---
title: "Everything the root user did"
description: |
    Root should be asleep. Calls AWS makes on its behalf are left out.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "100"
    doc: "Rows shown."
--- */
SELECT event_time, account_id, region, event_source, event_name, outcome, src_ip, user_agent(user_agent) AS program, mfa_authenticated, event_uid
FROM cloudtrail
WHERE user_identity_type = 'Root' AND invoked_by IS NULL AND (event_type IS DISTINCT FROM 'AwsServiceEvent')
ORDER BY event_time DESC, event_uid
LIMIT $limit
