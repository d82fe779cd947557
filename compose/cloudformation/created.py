"""Creates the stacks of both templates in moto, an AWS that is none, and prints what came of them as JSON.

compose/tests/cloudformation.rs looks at it.
"""

import json
import pathlib
import sys
import warnings

import boto3
import moto
import yaml

HERE = pathlib.Path(__file__).parent
BUCKET = "reports-inbox"
DROP = {"BucketName": BUCKET, "KeepDeletedDays": "45"}
PRINCIPAL = "arn:aws:iam::123456789012:role/machine"


def create(cloudformation, template, name, **parameters):
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=(HERE / template).read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


class Template(yaml.SafeLoader):
    """YAML with those of CloudFormation's tags that the bucket's resources have."""


def substituted(text):
    for name, value in {"AWS::Partition": "aws", **DROP}.items():
        text = text.replace("${" + name + "}", value)
    return text


Template.add_constructor("!Ref", lambda loader, node: DROP.get(node.value, node.value))
Template.add_constructor("!Sub", lambda loader, node: substituted(node.value))
Template.add_multi_constructor("!", lambda loader, tag, node: None)


def bucket():
    """moto's CloudFormation makes the bucket and passes over most of its properties, and over its policy."""
    resources = yaml.load((HERE / "drop.yaml").read_text(), Template)["Resources"]
    return {
        "policy": resources["BucketPolicy"]["Properties"]["PolicyDocument"],
        "properties": resources["Bucket"]["Properties"],
        "deletion": resources["Bucket"]["DeletionPolicy"],
    }


def policy(iam, arn):
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def attached(answer):
    return [policy["PolicyArn"] for policy in answer["AttachedPolicies"]]


@moto.mock_aws
def main():
    aws = {"region_name": "eu-central-1", "aws_access_key_id": "none", "aws_secret_access_key": "none"}
    cloudformation = boto3.client("cloudformation", **aws)
    iam = boto3.client("iam", **aws)
    s3 = boto3.client("s3", **aws)

    warnings.filterwarnings("ignore", "Tried to parse AWS::S3::BucketPolicy")
    drop = create(cloudformation, "drop.yaml", "drop", **DROP)
    s3.head_bucket(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(bucket()["policy"]))
    jfk = create(cloudformation, "producer.yaml", "jfk", BucketName=BUCKET, Producer="jfk")
    lga = create(
        cloudformation, "producer.yaml", "lga", BucketName=BUCKET, Producer="lga", ProducerPrincipal=PRINCIPAL
    )
    role = lga["ProducerRole"].rsplit("/")[-1]

    json.dump(
        {
            "bucket": bucket(),
            "consumer": {
                "policy": policy(iam, drop["ConsumerPolicy"]),
                "attached": attached(iam.list_attached_user_policies(UserName=drop["ConsumerUser"])),
                "arn": drop["ConsumerPolicy"],
            },
            "jfk": {
                "policy": policy(iam, jfk["ProducerPolicy"]),
                "attached": attached(iam.list_attached_user_policies(UserName=jfk["ProducerUser"])),
                "arn": jfk["ProducerPolicy"],
                "role": jfk.get("ProducerRole"),
            },
            "lga": {
                "policy": policy(iam, lga["ProducerPolicy"]),
                "attached": attached(iam.list_attached_role_policies(RoleName=role)),
                "arn": lga["ProducerPolicy"],
                "trusted": iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
                "user": lga.get("ProducerUser"),
            },
        },
        sys.stdout,
        indent=2,
        default=str,
    )


main()
