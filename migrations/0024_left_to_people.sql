-- Managers ask which jobs are left to people; there are few of them among very many that are done.
create index jobs_left_to_people on jobs (id) where state = 'attention';
