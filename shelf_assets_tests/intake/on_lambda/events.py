"""Events as AWS sends them: from S3 and from both kinds of API Gateway."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus, urlsplit

import pytest

from shelf_assets.intake.upload_store import INCOMING


class Context:
    """The context object that Lambda passes to the handler."""

    aws_request_id = "7b0cf4a5-8a39-5b25-a0b7-6c9f0d9d6c11"
    function_name = "upload-api"


def record(lake_url: str, key: str, name: str = "ObjectCreated:Post") -> dict[str, Any]:
    """One record of an S3 event; S3 encodes the key like this."""
    lake = urlsplit(lake_url)
    whole = f"{lake.path.strip('/')}/{key}"
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-24T10:21:25.913Z",
        "eventName": name,
        "userIdentity": {"principalId": "AWS:AROAEXAMPLE:upload-api"},
        "requestParameters": {"sourceIPAddress": "192.0.2.7"},
        "responseElements": {
            "x-amz-request-id": "C3D13FE58DE4C810",
            "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "incoming",
            "bucket": {
                "name": lake.netloc,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{lake.netloc}",
            },
            "object": {
                "key": quote_plus(whole, safe="/"),
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }


def created(lake_url: str, *image_ids: str) -> dict[str, Any]:
    return {"Records": [record(lake_url, f"{INCOMING}/{image_id}") for image_id in image_ids]}


def rest_event(
    method: str, path: str, token: str | None, body: bytes = b"", content_type: str | None = None
) -> dict[str, Any]:
    """An event of a REST API's proxy integration (payload 1.0)."""
    headers = {
        "Host": "abc123.execute-api.us-east-1.amazonaws.com",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": "443",
    }
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Content-Type": content_type, "Content-Length": str(len(body))} if content_type else {}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "httpMethod": method,
            "identity": {"sourceIp": "192.0.2.7", "userAgent": "app/1.0"},
            "path": f"/Prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTimeEpoch": 1793960485000,
            "resourceId": "123456",
            "resourcePath": "/{proxy+}",
            "stage": "Prod",
        },
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def http_event(
    method: str, path: str, token: str | None, body: bytes = b"", content_type: str | None = None
) -> dict[str, Any]:
    """An event of an HTTP API (payload 2.0): header names are in lower case."""
    headers = {
        "host": "abc123.execute-api.us-east-1.amazonaws.com",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "443",
    }
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    headers |= {"content-type": content_type, "content-length": str(len(body))} if content_type else {}
    event = {
        "version": "2.0",
        "routeKey": "ANY /v1/{any+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc123",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "app/1.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "ANY /v1/{any+}",
            "stage": "$default",
            "time": "24/Nov/2026:10:21:25 +0000",
            "timeEpoch": 1793960485000,
        },
        "isBase64Encoded": bool(body),
    }
    return event | ({"body": base64.b64encode(body).decode()} if body else {})


# Runs a test with both kinds of event.
EVENTS = pytest.mark.parametrize("event", [rest_event, http_event])
