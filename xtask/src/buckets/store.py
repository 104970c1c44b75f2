"""Fills and empties a bucket of an emulator: python store.py KIND ENDPOINT BUCKET ACTION [KEY [FILE]]."""

import pathlib
import sys

ACCOUNT = "devstoreaccount1"
# The published key of the storage emulator; it opens nothing else.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def s3(endpoint, bucket):
    import boto3

    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
    )
    return (
        lambda: client.create_bucket(Bucket=bucket),
        # Open to all, because moto does not know Google's way to sign.
        lambda key, content: client.put_object(Bucket=bucket, Key=key, Body=content, ACL="public-read"),
        lambda key: client.delete_object(Bucket=bucket, Key=key),
    )


def azure(endpoint, bucket):
    from azure.storage.blob import BlobServiceClient

    client = BlobServiceClient(f"{endpoint}/{ACCOUNT}", credential=KEY).get_container_client(bucket)
    return (
        client.create_container,
        lambda key, content: client.upload_blob(key, content, overwrite=True),
        client.delete_blob,
    )


def main():
    kind, endpoint, bucket, action, *rest = sys.argv[1:]
    make, put, delete = {"s3": s3, "gcs": s3, "azure": azure}[kind](endpoint, bucket)
    if action == "make":
        make()
    elif action == "put":
        put(rest[0], pathlib.Path(rest[1]).read_bytes())
    elif action == "crowd":
        # More objects than one page of a listing holds.
        for index in range(int(rest[1])):
            put(f"{rest[0]}/{index:05}", b"")
    elif action == "delete":
        delete(rest[0])
    else:
        sys.exit(f"no action {action}")


main()
