//! Kubernetes audit events (EKS, GKE, kubeadm): JSON bodies whose `level` is no severity.

use super::Understood;
use super::access::{client_of, pick};
use crate::text::json::{Cursor, Fault, Kind, Value};
use crate::text::time;
use std::borrow::Cow;

/// Reads who asked from where for what, and how it ended, when an object with an `auditID` is an audit
/// event.
pub fn refine<'a>(object: &'a str, understood: &mut Understood<'a>) {
    let mut stage = None;
    let (mut verb, mut sources, mut agent, mut received, mut status) = (None, None, None, None, None);
    let _ = Cursor::new(object, 0).object::<Fault>(|cursor, key| {
        let value = cursor.value()?;
        match key.raw {
            "\"stage\"" => stage = Some(value),
            "\"verb\"" => verb = value.text(),
            "\"sourceIPs\"" => sources = Some(value),
            "\"userAgent\"" => agent = value.text(),
            "\"requestReceivedTimestamp\"" => received = value.text(),
            "\"responseStatus\"" => status = code(value),
            _ => {}
        }
        Ok(())
    });
    if stage.is_none() && verb.is_none() {
        return;
    }
    understood.severity_number = None;
    understood.severity_text = None;
    understood.action = verb;
    understood.user_agent = agent;
    understood.status = status;
    let received = received.and_then(|text| time::parse(&text)).filter(|parsed| parsed.zoned);
    understood.time = received.map(|parsed| parsed.micros).or(understood.time);
    let Some(sources) = sources.filter(|value| value.kind == Kind::Array) else { return };
    let mut list = String::new();
    let _ = Cursor::new(sources.raw, 0).array::<Fault>(|cursor| {
        list.push_str(&cursor.value()?.text().unwrap_or_default());
        list.push(' ');
        Ok(())
    });
    if let Some((ip, _)) = pick(client_of(&list)) {
        understood.src_ip = Some(Cow::Owned(ip.into_owned()));
    }
}

fn code(status: Value<'_>) -> Option<i32> {
    let mut code = None;
    let _ = Cursor::new(status.raw, 0).object::<Fault>(|cursor, key| {
        let value = cursor.value()?;
        if key.raw == "\"code\"" {
            code = value.raw.parse().ok().filter(|code| (100..=599).contains(code));
        }
        Ok(())
    });
    code
}

#[cfg(test)]
mod tests {
    use crate::body::understand;

    #[test]
    fn an_audit_event_has_no_severity_and_says_who_did_what() {
        let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/namespaces","verb":"create","user":{"username":"system:anonymous"},"sourceIPs":["203.0.113.9","10.0.0.1"],"userAgent":"kubectl/v1.30","responseStatus":{"metadata":{},"code":403},"requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z"}"#;
        let understood = understand(line);
        assert_eq!((understood.severity_number, understood.severity_text), (None, None));
        assert_eq!((understood.action.as_deref(), understood.status), (Some("create"), Some(403)));
        assert_eq!(understood.src_ip.as_deref(), Some("203.0.113.9"));
        assert_eq!(understood.time, Some(1_767_323_045_000_001));
        assert_eq!(understood.attributes.as_deref(), Some(line));
        let other = understand(r#"{"level":"info","auditID":"a"}"#);
        assert_eq!(other.severity_number, Some(9));
    }
}
