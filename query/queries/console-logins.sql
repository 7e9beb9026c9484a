/* ---
title: "Console logins by user and address, with and without MFA"
description: |
    Failures beside successes: a success after many failures deserves a call.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT actor, src_ip, outcome, json_get_str(additional_event_data, 'MFAUsed') AS mfa, count(*) AS logins,
  min(event_time) AS first_seen, max(event_time) AS last_seen, min(user_agent(user_agent)) AS program
FROM cloudtrail
WHERE event_name = 'ConsoleLogin'
GROUP BY actor, src_ip, outcome, json_get_str(additional_event_data, 'MFAUsed')
ORDER BY logins DESC, actor, src_ip, outcome
LIMIT $limit
