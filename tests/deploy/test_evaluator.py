"""The evaluator against cases whose answer the IAM documentation gives."""

import unittest

from evaluator import Principal, Request, Unsupported, condition_holds, decide, matches, substitute

ME = Principal(arn="arn:aws:iam::111111111111:role/me", organization="o-1")
BUCKET = "arn:aws:s3:::b"


def allow(**more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", **more}]}


def ask(action="s3:GetObject", resource=f"{BUCKET}/k", account="111111111111", who=ME, **context):
    return Request(who, action, resource, account, {k.replace("__", ":"): v for k, v in context.items()})


class Statements(unittest.TestCase):
    def test_nothing_allows_nothing(self):
        self.assertFalse(decide(ask()).allowed)

    def test_an_explicit_deny_wins_wherever_it_stands(self):
        deny = {"Statement": {"Effect": "Deny", "Action": "s3:Get*", "Resource": "*"}}
        self.assertFalse(decide(ask(), [allow(), deny]).allowed)
        deny["Statement"]["Principal"] = "*"
        self.assertFalse(decide(ask(), [allow()], resource=deny).allowed)

    def test_actions_ignore_case_and_resources_do_not(self):
        self.assertTrue(decide(ask("S3:getobject"), [allow(Action="s3:Get*")]).allowed)
        self.assertFalse(decide(ask(resource=f"{BUCKET}/K"), [allow(Resource=f"{BUCKET}/k")]).allowed)

    def test_not_action_and_not_resource(self):
        document = {"Statement": [{"Effect": "Allow", "NotAction": "iam:*", "NotResource": f"{BUCKET}/secret/*"}]}
        self.assertTrue(decide(ask(), [document]).allowed)
        self.assertFalse(decide(ask("iam:GetRole", "*"), [document]).allowed)
        self.assertFalse(decide(ask(resource=f"{BUCKET}/secret/x"), [document]).allowed)

    def test_wildcards_cross_slashes_and_stay_wildcards_only_in_the_policy(self):
        self.assertTrue(matches("a/*/c", "a/b/b/c"))
        self.assertTrue(matches("a?c", "abc"))
        self.assertFalse(matches("a?c", "ac"))
        self.assertFalse(matches("a.c", "abc"))

    def test_a_variable_is_replaced_and_its_value_is_no_pattern(self):
        keys = {"aws:principalaccount": ["1*"]}
        self.assertTrue(matches(substitute("b/${aws:PrincipalAccount}/x", keys), "b/1*/x"))
        self.assertFalse(matches(substitute("b/${aws:PrincipalAccount}/x", keys), "b/12/x"))
        self.assertIsNone(substitute("${aws:username}", {}))

    def test_what_is_not_known_is_an_error(self):
        with self.assertRaises(Unsupported):
            decide(ask(aws__x="1"), [allow(Condition={"DateEquals": {"aws:x": "2026-01-01"}})])
        with self.assertRaises(Unsupported):
            decide(ask(), [{"Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]}])


class Conditions(unittest.TestCase):
    def holds(self, operator, wanted, *have):
        keys = {"k": list(have)} if have else {}
        return condition_holds(operator, "k", wanted, keys)

    def test_strings(self):
        self.assertTrue(self.holds("StringEquals", ["a", "b"], "b"))
        self.assertFalse(self.holds("StringEquals", "A", "a"))
        self.assertFalse(self.holds("StringEquals", "a*", "ab"))
        self.assertTrue(self.holds("StringLike", "a*", "ab"))
        self.assertFalse(self.holds("StringNotEquals", ["a", "b"], "b"))

    def test_a_key_that_is_not_there(self):
        self.assertFalse(self.holds("StringEquals", "a"))
        self.assertTrue(self.holds("StringEqualsIfExists", "a"))
        # The two that surprise: a negated operator is true without the key, and IfExists changes nothing of it.
        self.assertTrue(self.holds("StringNotEquals", "a"))
        self.assertTrue(self.holds("StringNotEqualsIfExists", "a"))
        self.assertFalse(self.holds("Bool", "false"))
        self.assertTrue(self.holds("BoolIfExists", "false"))

    def test_null(self):
        self.assertTrue(self.holds("Null", "true"))
        self.assertFalse(self.holds("Null", "false"))
        self.assertTrue(self.holds("Null", "false", "x"))

    def test_numbers_and_addresses(self):
        self.assertTrue(self.holds("NumericLessThan", "1.2", "1.1"))
        self.assertFalse(self.holds("NumericLessThan", "1.2", "1.2"))
        self.assertTrue(self.holds("IpAddress", "10.0.0.0/8", "10.1.2.3"))
        self.assertTrue(self.holds("NotIpAddress", "10.0.0.0/8", "192.0.2.1"))

    def test_arns_match_part_by_part(self):
        arn = "arn:aws:iam::111111111111:role/team/x"
        self.assertTrue(self.holds("ArnLike", "arn:aws:iam::*:role/*", arn))
        self.assertFalse(self.holds("ArnLike", "arn:aws:*:role/*", arn))
        self.assertTrue(self.holds("ArnNotEquals", "arn:aws:iam::111111111111:role/y", arn))

    def test_several_values(self):
        self.assertTrue(self.holds("ForAllValues:StringEquals", ["a", "b"], "a", "b"))
        self.assertFalse(self.holds("ForAllValues:StringEquals", ["a", "b"], "a", "c"))
        self.assertTrue(self.holds("ForAnyValue:StringEquals", ["a", "b"], "a", "c"))
        self.assertTrue(self.holds("ForAllValues:StringEquals", "a"))
        self.assertFalse(self.holds("ForAnyValue:StringEquals", "a"))

    def test_all_keys_of_a_statement_must_hold(self):
        condition = {"StringEquals": {"aws:a": "1", "aws:b": "2"}}
        self.assertTrue(decide(ask(aws__a="1", aws__b="2"), [allow(Condition=condition)]).allowed)
        self.assertFalse(decide(ask(aws__a="1", aws__b="3"), [allow(Condition=condition)]).allowed)


class Accounts(unittest.TestCase):
    def bucket(self, principal):
        return {"Statement": [{"Effect": "Allow", "Principal": principal, "Action": "s3:*", "Resource": f"{BUCKET}/*"}]}

    def test_in_one_account_either_side_is_enough(self):
        self.assertTrue(decide(ask(), [allow()]).allowed)
        self.assertTrue(decide(ask(), resource=self.bucket({"AWS": ME.arn})).allowed)

    def test_naming_the_account_delegates_and_does_not_grant(self):
        root = {"AWS": "arn:aws:iam::111111111111:root"}
        self.assertFalse(decide(ask(), resource=self.bucket(root)).allowed)
        self.assertTrue(decide(ask(), [allow()], resource=self.bucket(root)).allowed)

    def test_across_accounts_both_sides_must_allow(self):
        foreign = ask(account="222222222222")
        self.assertFalse(decide(foreign, [allow()]).allowed)
        self.assertFalse(decide(foreign, resource=self.bucket({"AWS": ME.arn})).allowed)
        self.assertTrue(decide(foreign, [allow()], resource=self.bucket({"AWS": ME.arn})).allowed)

    def test_a_key_needs_its_own_policy(self):
        request = ask("kms:Decrypt", "arn:aws:kms:eu-west-1:111111111111:key/1")
        self.assertFalse(decide(request, [allow()]).allowed)
        root = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Action": "kms:*", "Resource": "*"}]}
        self.assertTrue(decide(request, [allow()], resource=root).allowed)
        self.assertFalse(decide(request, resource=root).allowed)

    def test_a_service_control_policy_only_takes_away(self):
        full = allow()
        deny = {"Statement": [full["Statement"][0], {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}
        only_deny = {"Statement": [deny["Statement"][1]]}
        self.assertTrue(decide(ask(), [allow()], control=[[full]]).allowed)
        self.assertFalse(decide(ask(), [allow()], control=[[deny]]).allowed)
        self.assertFalse(decide(ask(), control=[[full]]).allowed)
        # One policy of a level is enough to allow, and a level without any stops everything.
        self.assertTrue(decide(ask("ec2:RunInstances", "*"), [allow()], control=[[full, only_deny]]).allowed)
        self.assertFalse(decide(ask("ec2:RunInstances", "*"), [allow()], control=[[full], [only_deny]]).allowed)

    def test_services_are_allowed_by_the_resource_alone(self):
        service = Principal(service="cloudtrail.amazonaws.com")
        request = ask("s3:PutObject", who=service)
        self.assertTrue(decide(request, resource=self.bucket({"Service": "cloudtrail.amazonaws.com"})).allowed)
        self.assertFalse(decide(request, resource=self.bucket({"Service": "config.amazonaws.com"})).allowed)


if __name__ == "__main__":
    unittest.main()
