"""The FOCUS category of Google's services, by service id or name; a service not listed is Other.

The ids are those of the Cloud Billing Catalog, which never change; names do.
"""

import polars as pl

_SERVICES: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("Compute", "Virtual Machines"): (("6F81-5844-456A", "Compute Engine"),),
    ("Compute", "Containers"): (("CCD8-9BF1-090E", "Kubernetes Engine"),),
    ("Compute", "Serverless Compute"): (
        ("152E-C115-5142", "Cloud Run"),
        ("29E7-DA93-CA13", "Cloud Functions"),
        ("F17B-412E-CB64", "App Engine"),
    ),
    ("Storage", "Object Storage"): (("95FF-2EF5-5EA1", "Cloud Storage"),),
    ("Storage", "File Storage"): (("D97E-AB26-5D95", "Cloud Filestore"),),
    ("Databases", "Data Warehouses"): (("24E6-581D-38E5", "BigQuery"),),
    ("Analytics", "Data Processing"): (
        ("", "Cloud Dataflow"),
        ("", "Cloud Dataproc"),
        ("", "Dataflow"),
        ("", "Dataproc"),
    ),
    ("Databases", "Relational Databases"): (
        ("9662-B51E-5089", "Cloud SQL"),
        ("CC63-0873-48FD", "Cloud Spanner"),
        ("", "AlloyDB"),
    ),
    ("Databases", "NoSQL Databases"): (
        ("C3BE-24A5-0975", "Cloud Bigtable"),
        ("", "Cloud Firestore"),
    ),
    ("Databases", "Caching"): (("", "Cloud Memorystore for Redis"), ("", "Memorystore")),
    ("AI and Machine Learning", "AI Platforms"): (
        ("C7E2-9256-1C43", "Vertex AI"),
        ("", "Cloud Machine Learning Engine"),
    ),
    ("AI and Machine Learning", "Generative AI"): (("AEFD-7695-64FA", "Gemini API"),),
    ("Networking", "Network Infrastructure"): (("E505-1604-58F8", "Networking"),),
    ("Networking", "Network Routing"): (("FA26-5236-B8B5", "Cloud DNS"),),
    ("Management and Governance", "Observability"): (
        ("5490-F7B7-8DF6", "Cloud Logging"),
        ("58CD-E7C3-72CA", "Cloud Monitoring"),
    ),
    ("Integration", "Messaging"): (("A1E8-BE35-7EBC", "Cloud Pub/Sub"),),
    ("Security", "Secret Management"): (("", "Secret Manager"),),
    ("Security", "Other (Security)"): (("", "Cloud Key Management Service (KMS)"),),
    ("Developer Tools", "Continuous Integration and Deployment"): (("", "Cloud Build"),),
    ("Developer Tools", "Other (Developer Tools)"): (("", "Artifact Registry"),),
    ("Identity", "Identity and Access Management"): (("", "Identity Platform"),),
}


def category(service_id: pl.Expr, name: pl.Expr) -> pl.Expr:
    """Class a service by its id, else by its name."""
    return _looked_up(service_id, name, 0)


def subcategory(service_id: pl.Expr, name: pl.Expr) -> pl.Expr:
    """Class a service more finely."""
    return _looked_up(service_id, name, 1)


def _looked_up(service_id: pl.Expr, name: pl.Expr, part: int) -> pl.Expr:
    by_key = {
        key: classes[part]
        for classes, services in _SERVICES.items()
        for pair in services
        for key in pair
        if key
    }
    keys, found = list(by_key), list(by_key.values())
    looked_up = [
        column.replace_strict(keys, found, default=None, return_dtype=pl.String)
        for column in (service_id, name)
    ]
    other = ("Other", "Other (Other)")[part]
    return pl.coalesce(*looked_up, pl.lit(other))
