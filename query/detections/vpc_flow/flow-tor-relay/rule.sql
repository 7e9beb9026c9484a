/* ---
id: flow-tor-relay
title: "Tor relay inside"
status: stable
author: logq
level: high
description: |
    Many relays of the list `tor` opened connections to one internal host: it is a relay itself.
tags:
  - attack.command-and-control
  - attack.t1090.003
  - attack.impact
  - attack.t1496
tables: [vpc_flow]
needs: [tor]
parameters:
  relays:
    default: 3
    doc: "Distinct relays that connected within a day. One may be an exit that fetches a web page; relays talk to each other."
summary: "{relays_seen} Tor relays connected to {own} port {dst_port}; {count} records"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {DST} = {own} AND dst_port = {dst_port} AND action = 'ACCEPT' AND dst_port NOT IN (80) AND {TO_SERVER}
    AND array_has(string_to_array({peers}, ','), {SRC})
  ORDER BY event_time
falsepositives:
  - "A public service that people use through Tor on another port than 80."
--- */
SELECT {DST} || ' port ' || CAST(dst_port AS VARCHAR) AS entity, {DST} AS own, dst_port, min(event_time) AS first_seen, max(event_time) AS last_seen,
  count(*) AS "count", count(DISTINCT {SRC}) AS relays_seen, string_agg(DISTINCT {SRC}, ',') AS peers, min(account_id) AS account_id, min(region) AS region
FROM vpc_flow
WHERE {TIME} AND action = 'ACCEPT' AND dst_port NOT IN (80) AND {TO_SERVER} AND is_private({DST}) AND threat_name('tor', {SRC}) IS NOT NULL
GROUP BY {DST}, dst_port, date_trunc('day', event_time)
HAVING count(DISTINCT {SRC}) >= {relays}
ORDER BY "count" DESC, entity
