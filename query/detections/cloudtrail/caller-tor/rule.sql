/* ---
id: caller-tor
title: "API called through Tor"
status: stable
author: logq
level: medium
description: |
    A call came from an address of the threat list `tor`.
tags:
  - attack.initial-access
  - attack.t1078.004
  - attack.command-and-control
  - attack.t1090.003
tables: [cloudtrail]
needs: [tor]
summary: "{actor} called {names} from {address} ({name}); {count} calls, {failed} refused or failed"
evidence: |
  SELECT * FROM cloudtrail
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND coalesce(coalesce(session_issuer_arn, user_identity_arn, principal_id), 'unknown') = {actor} AND source_ip_address = {address}
  ORDER BY event_time
falsepositives:
  - "An address that was given to somebody else since it was listed."
--- */
SELECT coalesce(coalesce(session_issuer_arn, user_identity_arn, principal_id), 'unknown') || ' from ' || source_ip_address AS entity, coalesce(coalesce(session_issuer_arn, user_identity_arn, principal_id), 'unknown') AS actor, source_ip_address AS address,
  min(threat_name('tor', source_ip_address)) AS name, min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS "count",
  string_agg(DISTINCT event_name, ' ') AS names, sum(CASE WHEN error_code IS NULL THEN 0 ELSE 1 END) AS failed,
  min(account_id) AS account_id, min(region) AS region
FROM cloudtrail
WHERE {TIME} AND threat_name('tor', source_ip_address) IS NOT NULL
GROUP BY coalesce(coalesce(session_issuer_arn, user_identity_arn, principal_id), 'unknown'), source_ip_address, date_trunc('day', event_time)
ORDER BY "count" DESC, entity
