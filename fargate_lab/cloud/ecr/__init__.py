"""The lab's ECR."""
