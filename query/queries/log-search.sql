/* ---
title: "Lines that contain a text"
description: |
    Case does not matter.
tables: [app_log]
parameters:
  - name: text
    type: text
    doc: "What to look for."
  - name: limit
    type: int
    default: "100"
    doc: "Rows shown."
--- */
SELECT event_time, namespace, pod, container, severity_text, body, event_uid
FROM app_log
WHERE body ILIKE '%' || $text || '%'
ORDER BY event_time DESC, event_uid
LIMIT $limit
