/* ---
title: "Attempts to switch off or redirect logs and detectors"
description: |
    CloudTrail, Config, GuardDuty, flow logs, Security Hub, CloudWatch Logs, bucket logging.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT event_time, actor, src_ip, account_id, region, event_name, outcome, request_parameters, event_uid
FROM cloudtrail
WHERE event_name IN ('StopLogging', 'DeleteTrail', 'UpdateTrail', 'PutEventSelectors', 'DeleteEventDataStore', 'DeleteFlowLogs', 'DeleteLogGroup', 'DeleteLogStream', 'PutRetentionPolicy',
  'StopConfigurationRecorder', 'DeleteConfigurationRecorder', 'DeleteDeliveryChannel', 'DeleteDetector', 'UpdateDetector', 'DisassociateFromMasterAccount', 'DisassociateFromAdministratorAccount',
  'StopMonitoringMembers', 'DisableSecurityHub', 'DeleteMembers', 'PutBucketLogging', 'DisableAlarmActions', 'DeleteAlarms', 'DeleteResolverQueryLogConfig', 'DeleteModelInvocationLoggingConfiguration')
ORDER BY event_time DESC, event_uid
LIMIT $limit
