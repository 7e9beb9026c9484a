/* ---
title: "Countries and networks a principal appeared from for the first time"
description: |
    Needs --geoip with a City or Country database, and an ASN database for the network. Give --since a longer time than `new`.
tables: [cloudtrail]
parameters:
  - name: new
    type: span
    default: "1d"
    doc: "What counts as new."
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT actor, geo(src_ip) AS country, as_name(src_ip) AS network, min(event_time) AS first_seen, count(*) AS calls, count(DISTINCT src_ip) AS addresses
FROM cloudtrail
WHERE src_ip IS NOT NULL AND NOT is_private(src_ip) AND actor IS NOT NULL
GROUP BY actor, geo(src_ip), as_name(src_ip)
HAVING min(event_time) >= ago($new)
ORDER BY first_seen DESC, actor
LIMIT $limit
